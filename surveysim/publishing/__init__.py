"""What leaves the house: disclosure control, exports, the methods report, citation."""
