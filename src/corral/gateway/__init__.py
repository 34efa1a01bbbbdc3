"""How does traffic reach the replicas of services? A program that drives Caddy; both go on with what they know without a controller."""
