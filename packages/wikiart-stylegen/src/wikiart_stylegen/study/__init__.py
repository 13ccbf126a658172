"""A study with people: a page with pictures and questions, and what the saved answers say."""
