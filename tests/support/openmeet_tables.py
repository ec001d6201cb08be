"""OpenMeet's tables, as its own migrations leave them: one schema for each tenant."""

from __future__ import annotations

from openmeet_bridge.core.ids import TenantId
from openmeet_bridge.openmeet.schema import quoted, schema_name

_MOMENTS = """
    "createdAt" timestamp NOT NULL DEFAULT now(),
    "updatedAt" timestamp NOT NULL DEFAULT now()
"""

_TABLES = """
CREATE SCHEMA IF NOT EXISTS {schema};

CREATE TYPE "groups_status_enum" AS ENUM ('draft', 'pending', 'published');
CREATE TYPE "groups_visibility_enum" AS ENUM ('public', 'authenticated', 'private');
CREATE TYPE "groupRoles_name_enum" AS ENUM ('owner', 'admin', 'moderator', 'member', 'guest');
CREATE TYPE "events_type_enum" AS ENUM ('in-person', 'online', 'hybrid');
CREATE TYPE "events_status_enum" AS ENUM ('draft', 'pending', 'published', 'cancelled');
CREATE TYPE "events_visibility_enum" AS ENUM ('public', 'authenticated', 'private');
CREATE TYPE "eventAttendees_status_enum" AS ENUM
    ('invited', 'confirmed', 'attended', 'cancelled', 'rejected', 'maybe', 'pending', 'waitlist');
CREATE TYPE "eventAttendees_role_enum" AS ENUM ('host', 'attendee');
CREATE TYPE "chatRooms_type_enum" AS ENUM ('event', 'group', 'direct');
CREATE TYPE "chatRooms_visibility_enum" AS ENUM ('public', 'private');

CREATE TABLE "files" (
    "id" serial PRIMARY KEY, "ulid" char(26), "fileName" varchar(255), "fileSize" integer,
    "mimeType" varchar(255), "path" varchar(255) NOT NULL, {moments}
);
CREATE TABLE "statuses" ("id" integer PRIMARY KEY, "name" varchar(255) NOT NULL);
INSERT INTO "statuses" VALUES (1, 'active'), (2, 'inactive');
CREATE TABLE "roles" ("id" serial PRIMARY KEY, "name" varchar(255) NOT NULL);
INSERT INTO "roles" ("name") VALUES ('user'), ('admin'), ('editor');
CREATE TABLE "users" (
    "id" serial PRIMARY KEY, "slug" varchar(255), "ulid" char(26), "email" varchar UNIQUE,
    "password" varchar, "firstName" varchar, "lastName" varchar,
    "provider" varchar NOT NULL DEFAULT 'email', "socialId" varchar,
    "photoId" integer REFERENCES "files", "statusId" integer REFERENCES "statuses" DEFAULT 1,
    "roleId" integer REFERENCES "roles" DEFAULT 1, "bio" varchar,
    "preferences" jsonb NOT NULL DEFAULT '{{}}', "matrixUserId" varchar,
    "matrixAccessToken" varchar, "matrixDeviceId" varchar,
    "isShadowAccount" boolean NOT NULL DEFAULT false, {moments}, "deletedAt" timestamp
);
CREATE INDEX ON "users" ("slug");
CREATE TABLE "sessions" (
    "id" serial PRIMARY KEY, "userId" integer REFERENCES "users" ON DELETE CASCADE,
    "hash" varchar NOT NULL, {moments}, "deletedAt" timestamp
);
CREATE TABLE "groups" (
    "id" serial PRIMARY KEY, "ulid" char(26), "slug" varchar(255) NOT NULL UNIQUE,
    "name" varchar(255) NOT NULL, "description" text,
    "status" "groups_status_enum" NOT NULL DEFAULT 'published',
    "visibility" "groups_visibility_enum", "requireApproval" boolean NOT NULL DEFAULT true,
    "createdById" integer REFERENCES "users", "imageId" integer REFERENCES "files",
    "matrixRoomId" varchar(255), {moments}
);
CREATE TABLE "groupRoles" (
    "id" serial PRIMARY KEY, "name" "groupRoles_name_enum" NOT NULL, {moments}
);
INSERT INTO "groupRoles" ("name") VALUES
    ('owner'), ('admin'), ('moderator'), ('member'), ('guest');
CREATE TABLE "groupMembers" (
    "id" serial PRIMARY KEY, "userId" integer REFERENCES "users" ON DELETE CASCADE,
    "groupId" integer REFERENCES "groups" ON DELETE CASCADE,
    "groupRoleId" integer REFERENCES "groupRoles", {moments}
);
CREATE TABLE "events" (
    "id" serial PRIMARY KEY, "ulid" char(26), "slug" varchar(255) NOT NULL UNIQUE,
    "name" varchar(255) NOT NULL, "description" text,
    "type" "events_type_enum" NOT NULL DEFAULT 'in-person',
    "status" "events_status_enum", "visibility" "events_visibility_enum",
    "startDate" timestamp NOT NULL, "endDate" timestamp, "timeZone" varchar(50) DEFAULT 'UTC',
    "maxAttendees" integer, "requireApproval" boolean NOT NULL DEFAULT false,
    "requireGroupMembership" boolean NOT NULL DEFAULT false,
    "allowWaitlist" boolean NOT NULL DEFAULT false, "userId" integer REFERENCES "users",
    "groupId" integer REFERENCES "groups" ON DELETE SET NULL, "seriesSlug" varchar(255),
    "originalDate" timestamp, "imageId" integer REFERENCES "files",
    "sourceType" varchar, "sourceId" varchar(255), "matrixRoomId" varchar(255), {moments}
);
CREATE TABLE "eventRoles" ("id" serial PRIMARY KEY, "name" varchar(255) NOT NULL, {moments});
INSERT INTO "eventRoles" ("name") VALUES
    ('participant'), ('host'), ('speaker'), ('moderator'), ('guest');
CREATE TABLE "eventAttendees" (
    "id" serial PRIMARY KEY, "eventId" integer REFERENCES "events" ON DELETE CASCADE,
    "userId" integer REFERENCES "users" ON DELETE CASCADE,
    "roleId" integer NOT NULL REFERENCES "eventRoles",
    "status" "eventAttendees_status_enum", "role" "eventAttendees_role_enum",
    "approvalAnswer" varchar(255), {moments}, UNIQUE ("eventId", "userId")
);
CREATE TABLE "chatRooms" (
    "id" serial PRIMARY KEY, "name" varchar(255) NOT NULL, "topic" text,
    "matrixRoomId" varchar(255) NOT NULL, "type" "chatRooms_type_enum" NOT NULL DEFAULT 'group',
    "visibility" "chatRooms_visibility_enum" NOT NULL DEFAULT 'public', "settings" jsonb,
    "creatorId" integer REFERENCES "users", "eventId" integer REFERENCES "events" ON DELETE CASCADE,
    "groupId" integer REFERENCES "groups" ON DELETE CASCADE, "user1Id" integer, "user2Id" integer,
    {moments}
);
CREATE TABLE "userChatRooms" (
    "chatRoomId" integer REFERENCES "chatRooms" ON DELETE CASCADE,
    "userId" integer REFERENCES "users" ON DELETE CASCADE, "joinedAt" timestamp DEFAULT now(),
    "role" varchar(50), PRIMARY KEY ("chatRoomId", "userId")
);
"""


def tables_of(tenant: TenantId) -> str:
    """The statements that make a tenant's schema, which must be first in the search path."""
    return _TABLES.format(schema=quoted(schema_name(tenant)), moments=_MOMENTS)
