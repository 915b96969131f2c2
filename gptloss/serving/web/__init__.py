"""What stands between the network and the app: headers, compressed files, doors that stay shut, who is ready."""
