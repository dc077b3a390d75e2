"""The workspace on disk: runs, adapters, decisions, the reply cache and the ledger. The reports read nothing else."""
