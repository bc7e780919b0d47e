"""The endpoints: check the shape, call one verb, render its answer."""
