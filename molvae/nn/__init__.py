"""Neural parts: encoders, latents, regularisers, conditioning, decoders, heads, priors. Each is abstract or final; ``molvae.model`` joins them."""
