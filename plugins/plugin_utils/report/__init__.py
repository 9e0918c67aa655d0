"""Tables, documents and words for the screen."""
