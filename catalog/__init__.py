"""What a shop gives: rows, pictures and texts. Reads catalogs; draws the sample shop. Imports nothing of ours."""
