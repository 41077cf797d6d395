"""An accelerator of standard cells and memory macros, instead of a device's look-up tables and blocks."""
