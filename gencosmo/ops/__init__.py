"""The compiled kernels, one module per op: contract, dispatch and a plain reference.

Each ``<op>`` runs the compiled core on CPU or CUDA through torch's dispatcher; ``<op>_reference`` beside it
is the same formula in plain torch (NumPy for `ingest`), for any dtype, and the truth of the tests. Import
from the modules: this package imports nothing, so that reading files needs no torch.
"""
