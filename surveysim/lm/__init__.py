"""Language models: loading, cached trunk activations, losses, alignment, saved adapters."""
