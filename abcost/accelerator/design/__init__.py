"""An engine described once: what it is priced, timed, printed and interpreted from."""
