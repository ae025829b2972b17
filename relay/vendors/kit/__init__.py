"""What a vendor's file is made of: requests, authentication, fields, raw JSON. Pure."""
