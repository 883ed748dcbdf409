"""What is trained, and how: stages, targets, losses, heads and the last layer; whole jobs stand one room up."""
