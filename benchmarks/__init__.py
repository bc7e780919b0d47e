"""What a request costs: measured on the service as it is served, beside two floors."""
