"""What tests share: servers, people, and ways to wait."""
