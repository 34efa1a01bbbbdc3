"""How do kubectl and Kubernetes' client libraries speak with the controller? Its own paths, verbs and errors over the objects."""
