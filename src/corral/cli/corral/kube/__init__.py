"""How do users work with Kubernetes' objects: get, apply, delete, describe and the rest, in kubectl's words?"""
