"""Gates: conditions on metrics, checked before a run and after it, with a sentence that a person can act on."""
