-- Labels that were made through the gateway, and the chats that carry them.

CREATE TABLE labels (
    session_id  bigint NOT NULL REFERENCES sessions ON DELETE CASCADE,
    id          bigint NOT NULL,
    name        text NOT NULL,
    color       smallint NOT NULL,
    PRIMARY KEY (session_id, id)
);

CREATE TABLE chat_labels (
    session_id  bigint NOT NULL,
    label_id    bigint NOT NULL,
    chat        text NOT NULL,
    PRIMARY KEY (session_id, label_id, chat),
    FOREIGN KEY (session_id, label_id) REFERENCES labels ON DELETE CASCADE
);

CREATE INDEX chat_labels_of_chat ON chat_labels (session_id, chat);
