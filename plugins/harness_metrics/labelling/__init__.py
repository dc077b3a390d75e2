"""Labels a reply to a request: complied, refused or incoherent. Rules on the text alone; no model is asked."""

from harness_metrics.labelling.label import Label, Labelled, label_reply

__all__ = ["Label", "Labelled", "label_reply"]
