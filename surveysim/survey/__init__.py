"""A file or frame becomes a Survey and is written back: missing answers, recoding; estimates stand in estimation."""
