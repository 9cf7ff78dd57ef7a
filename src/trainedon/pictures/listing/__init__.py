"""What is found, as columns: pictures, with the captions and labels that lie beside them."""
