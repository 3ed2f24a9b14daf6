"""A napari plugin: fill, super-resolve and score layers. `layers` has the work, `widgets` the windows (extra `napari`).

Nothing here imports napari: a viewer is whatever has its layers and its `add_image` and `add_labels`.
"""
