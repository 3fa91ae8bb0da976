"""What launches assets: jobs."""
