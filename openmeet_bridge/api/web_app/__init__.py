"""OpenMeet's own web app: its backend's chat routes, as it knows them."""
