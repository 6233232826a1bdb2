-- The tables of schema.prisma, as `prisma migrate diff --from-empty --to-schema` writes them; run once on an empty database.
CREATE TABLE "User" (
  "id" SERIAL PRIMARY KEY,
  "email" TEXT NOT NULL,
  "name" TEXT NOT NULL
);

CREATE TABLE "Post" (
  "id" SERIAL PRIMARY KEY,
  "title" TEXT NOT NULL,
  "body" TEXT NOT NULL,
  "published" BOOLEAN NOT NULL DEFAULT false,
  "createdAt" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
  "authorId" INTEGER NOT NULL REFERENCES "User" ("id") ON DELETE RESTRICT ON UPDATE CASCADE
);

CREATE TABLE "Comment" (
  "id" SERIAL PRIMARY KEY,
  "text" TEXT NOT NULL,
  "postId" INTEGER NOT NULL REFERENCES "Post" ("id") ON DELETE CASCADE ON UPDATE CASCADE,
  "authorId" INTEGER NOT NULL REFERENCES "User" ("id") ON DELETE RESTRICT ON UPDATE CASCADE
);

CREATE UNIQUE INDEX "User_email_key" ON "User" ("email");
CREATE INDEX "Post_authorId_idx" ON "Post" ("authorId");
CREATE INDEX "Post_published_createdAt_idx" ON "Post" ("published", "createdAt");
CREATE INDEX "Comment_postId_idx" ON "Comment" ("postId");
