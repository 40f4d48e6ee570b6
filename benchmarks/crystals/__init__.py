"""How crystals are measured in published comparisons: the protocols of CDVAE and its successors, over lists of crystals of any model."""
