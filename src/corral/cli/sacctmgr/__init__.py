"""sacctmgr, in parts: words, values, fields, and what each verb does."""
