"""What the agent answers for its virtual machines."""
