"""What runs inside the image: an entry point and a supervisor that keep Triton and the service going as one program."""
