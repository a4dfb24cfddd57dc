"""The command `kubently`: a thin layer over the client. app.py has every command on one screen."""
