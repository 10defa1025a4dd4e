"""Flask with a signed session, Flask-Login with "remember me", and a Flask-WTF form."""

import sys

from flask import Flask, redirect, render_template_string, request
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from flask_wtf.csrf import CSRFProtect

app = Flask(__name__)
app.secret_key = "secret"
CSRFProtect(app)
logins = LoginManager(app)
notes = {}

PAGE = """<!doctype html><html><head><title>Flask</title></head><body>
<p id="user">{{ current_user.id }}</p><p id="notes">{{ notes }}</p>
{% macro form(action) %}<form method="post" action="{{ action }}" enctype="multipart/form-data">
<input type="hidden" name="csrf_token" value="{{ csrf_token() }}">{{ caller() }}<button>Send</button></form>{% endmacro %}
{% if current_user.is_authenticated %}
{% call form("/note") %}<input name="note"><input type="file" name="file">{% endcall %}
{% call form("/logout") %}{% endcall %}
{% else %}{% call form("/login") %}<input name="user">{% endcall %}{% endif %}
{% for message in get_flashed_messages() %}<p class="message">{{ message }}</p>{% endfor %}</body></html>"""


class User(UserMixin):
    def __init__(self, name):
        self.id = name


logins.user_loader(User)


@app.get("/")
def index():
    return render_template_string(PAGE, notes=notes.get(current_user.get_id(), ""))


@app.post("/login")
def login():
    login_user(User(request.form["user"]), remember=True)
    return redirect("/")


@app.post("/note")
@login_required
def note():
    file = request.files["file"]
    notes[current_user.id] = f"{request.form['note']} {file.filename} {len(file.read())}"
    return redirect("/")


@app.post("/logout")
@login_required
def logout():
    logout_user()
    return redirect("/")


app.run(port=int(sys.argv[1]), threaded=True)
