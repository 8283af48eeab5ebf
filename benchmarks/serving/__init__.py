"""A model repository, a gallery and fixed photos in; photos per second beside their ceiling, core-milliseconds out."""
