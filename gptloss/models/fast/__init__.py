"""Matrix products that are as exact as PyTorch's and quicker: which ones, for what, and the layers that use them."""
