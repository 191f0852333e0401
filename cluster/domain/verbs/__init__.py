"""What a session can be asked to do at WhatsApp besides sending: the declaration of each verb, in
the module of its subject. What does it is in the module of the same name in
`actors.whatsapp.verbs`, what Python callers call in that of `client`.

JIDs are strings.
"""
