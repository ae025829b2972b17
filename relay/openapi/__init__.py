"""What the relay's two ports answer, as an OpenAPI document: values only, no I/O."""
