"""Classical estimates of the shares of every background, which any model has to beat; no language model."""
