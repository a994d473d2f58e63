-- SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
-- SPDX-License-Identifier: Apache-2.0
-- A ledger from before migrations, as that version made it, with some rows of each table.
-- {number} stands for SERIAL on PostgreSQL and INTEGER on SQLite.

CREATE TABLE schema (
    version {number} NOT NULL,
    PRIMARY KEY (version)
);

CREATE TABLE feed (
    name VARCHAR(16) NOT NULL,
    seq INTEGER NOT NULL,
    fingerprint VARCHAR(160) NOT NULL,
    began FLOAT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE series (
    orthanc_id VARCHAR(44) NOT NULL,
    orthanc_study VARCHAR(44) NOT NULL,
    origin VARCHAR(8) NOT NULL,
    instances INTEGER NOT NULL,
    PRIMARY KEY (orthanc_id)
);

CREATE TABLE studies (
    orthanc_id VARCHAR(44) NOT NULL,
    study_uid VARCHAR(64) NOT NULL,
    state VARCHAR(16) NOT NULL,
    since FLOAT NOT NULL,
    last_instance_at FLOAT NOT NULL,
    quiet_from FLOAT NOT NULL,
    live BOOLEAN NOT NULL,
    why TEXT NOT NULL,
    refusals JSON NOT NULL,
    PRIMARY KEY (orthanc_id)
);

CREATE INDEX studies_newest ON studies (last_instance_at);

CREATE INDEX studies_state ON studies (state);

CREATE TABLE jobs (
    id {number} NOT NULL,
    orthanc_study VARCHAR(44) NOT NULL,
    study_uid VARCHAR(64) NOT NULL,
    orthanc_series VARCHAR(44) NOT NULL,
    state VARCHAR(16) NOT NULL,
    since FLOAT NOT NULL,
    created FLOAT NOT NULL,
    last_instance_at FLOAT NOT NULL,
    live BOOLEAN NOT NULL,
    instance_set VARCHAR(64) NOT NULL,
    chosen_set VARCHAR(64) NOT NULL,
    left_out JSON NOT NULL,
    answered_set VARCHAR(64) NOT NULL,
    answered_series VARCHAR(64) NOT NULL,
    owner VARCHAR(80) NOT NULL,
    lease_until FLOAT NOT NULL,
    next_try FLOAT NOT NULL,
    tries INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    error TEXT NOT NULL,
    sr_class_uid VARCHAR(64) NOT NULL,
    sr_uid VARCHAR(64) NOT NULL,
    answer JSON NOT NULL,
    refusals JSON NOT NULL,
    timing_ms JSON NOT NULL,
    turnaround_s FLOAT,
    PRIMARY KEY (id)
);

CREATE INDEX jobs_state ON jobs (state, next_try);

CREATE INDEX jobs_study ON jobs (orthanc_study);

CREATE TABLE results (
    job INTEGER NOT NULL,
    orthanc_instance VARCHAR(44) NOT NULL,
    orthanc_series VARCHAR(44) NOT NULL,
    kind VARCHAR(32) NOT NULL,
    sop_instance_uid VARCHAR(64) NOT NULL,
    PRIMARY KEY (job, orthanc_instance),
    FOREIGN KEY(job) REFERENCES jobs (id)
);

CREATE INDEX results_instance ON results (orthanc_instance);

INSERT INTO schema (version) VALUES (1);

INSERT INTO feed VALUES ('orthanc', 71, 'NewInstance a 71', 1800000000.5);

INSERT INTO series VALUES ('s1-series', 's1', 'source', 32), ('sr-series', 's1', 'own', 0);

INSERT INTO studies VALUES ('s1', '1.2.1', 'decided', 1800000010, 1800000008, 1800000008, true, '', '[]'),
    ('s2', '1.2.2', 'incomplete', 1800000020, 1800000018, 1800000018, true, 'a slice is missing', '[]');

INSERT INTO jobs (orthanc_study, study_uid, orthanc_series, state, since, created, last_instance_at, live, instance_set,
    chosen_set, left_out, answered_set, answered_series, owner, lease_until, next_try, tries, crashes, error, sr_class_uid,
    sr_uid, answer, refusals, timing_ms, turnaround_s)
VALUES ('s1', '1.2.1', '', 'done', 1800000012, 1800000010, 1800000008, true, 'set', 'chosen', '["rescan"]', 'chosen',
    '1.2.1.9', 'host:8070', 1800000070, 0, 1, 0, '', '1.88', '1.2.1.100', '{{"present": true}}',
    '[{{"series_uid": null, "code": "localizer", "reason": "a scout"}}]', '{{"read": 41.5}}', 2.75);

INSERT INTO results VALUES (1, 'sr-instance', 'sr-series', 'sr', '1.2.1.100');
