"""From the bytes of a file to columns and back: SPSS, Stata, CSV, Parquet; what a column means is the room survey's."""
