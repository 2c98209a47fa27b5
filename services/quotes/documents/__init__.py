"""What the customer gets to see of a quote: the PDF, the page on which it is decided, the e-mail."""
