"""What the commands do, as calls: `abcost.analyze`, `train`, `search`, … and the command line are both made of this."""
