"""Units of models on a host: quoting, rendering, observing, deciding, applying, going back."""
