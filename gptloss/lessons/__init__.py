"""What is taught, as data: the book's steps, and what people compute wrongly."""
