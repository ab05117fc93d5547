"""Files and folders that are whole or absent: written in one move, locked while they are made, hashed, and read strictly."""
