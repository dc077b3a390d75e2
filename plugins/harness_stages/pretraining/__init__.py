"""Vocabularies and decoders from scratch, and decoders trained on."""
