"""What every table is: columns, cells as arrays, draws, intervals, what it records of itself; no survey file and no method."""
