"""What a vendor's file is made of: requests, proofs of identity, fields, raw JSON. Pure."""
