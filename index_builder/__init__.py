"""Catalog and exported networks in, versioned gallery out; ships the gallery reader and the store."""
