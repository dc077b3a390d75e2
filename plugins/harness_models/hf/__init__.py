"""Models of the transformers library on this machine, with LoRA adapters through peft."""
