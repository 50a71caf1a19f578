//! What official SDKs put on the wire, byte for byte, and what the caller of each had meant.
//!
//! Python and node were recorded by a server that they were pointed at; go and java are written after
//! their multipart encoders. Nested keys, part types, boundaries and order are each SDK's own.

/// What a caller had meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meant {
    Text,
    NamedFile,
    File,
    FileAndModel,
    Address,
    OneCharacter,
    TwoCharacters,
    Remix,
    EditFile,
    EditId,
    ExtendId,
    Character,
}

/// One request.
pub(super) struct Recorded {
    pub(super) client: &'static str,
    pub(super) meant: Meant,
    pub(super) content_type: &'static str,
    pub(super) body: &'static [u8],
}

pub(super) const RECORDED: &[Recorded] = &[
    Recorded {
        client: "python 3.54.0",
        meant: Meant::Text,
        content_type: "multipart/form-data; boundary=bef0ad57a6d361df9a42d350dc469c3b",
        body: b"\
          --bef0ad57a6d361df9a42d350dc469c3b\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --bef0ad57a6d361df9a42d350dc469c3b\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          \r\n\
          sora-2\r\n\
          --bef0ad57a6d361df9a42d350dc469c3b\r\n\
          Content-Disposition: form-data; name=\"seconds\"\r\n\
          \r\n\
          8\r\n\
          --bef0ad57a6d361df9a42d350dc469c3b\r\n\
          Content-Disposition: form-data; name=\"size\"\r\n\
          \r\n\
          1280x720\r\n\
          --bef0ad57a6d361df9a42d350dc469c3b--\r\n",
    },
    Recorded {
        client: "python 3.54.0",
        meant: Meant::NamedFile,
        content_type: "multipart/form-data; boundary=9ba901ed5e9f0c4c3b265e3213ff0934",
        body: b"\
          --9ba901ed5e9f0c4c3b265e3213ff0934\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --9ba901ed5e9f0c4c3b265e3213ff0934\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          \r\n\
          sora-2\r\n\
          --9ba901ed5e9f0c4c3b265e3213ff0934\r\n\
          Content-Disposition: form-data; name=\"seconds\"\r\n\
          \r\n\
          8\r\n\
          --9ba901ed5e9f0c4c3b265e3213ff0934\r\n\
          Content-Disposition: form-data; name=\"size\"\r\n\
          \r\n\
          16x16\r\n\
          --9ba901ed5e9f0c4c3b265e3213ff0934\r\n\
          Content-Disposition: form-data; name=\"input_reference\"; filename=\"frame.png\"\r\n\
          Content-Type: image/png\r\n\
          \r\n\
          \x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x00\x00\x00\x00:\x98\xa0\xbd\r\n\
          --9ba901ed5e9f0c4c3b265e3213ff0934--\r\n",
    },
    Recorded {
        client: "python 3.54.0",
        meant: Meant::File,
        content_type: "multipart/form-data; boundary=c6ec5ebae02060f4b221d63876746ea7",
        body: b"\
          --c6ec5ebae02060f4b221d63876746ea7\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --c6ec5ebae02060f4b221d63876746ea7\r\n\
          Content-Disposition: form-data; name=\"input_reference\"; filename=\"upload\"\r\n\
          Content-Type: application/octet-stream\r\n\
          \r\n\
          \x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x00\x00\x00\x00:\x98\xa0\xbd\r\n\
          --c6ec5ebae02060f4b221d63876746ea7--\r\n",
    },
    Recorded {
        client: "python 3.54.0",
        meant: Meant::TwoCharacters,
        content_type: "multipart/form-data; boundary=10e516183e6f1396b952bc5eb6850be0",
        body: b"\
          --10e516183e6f1396b952bc5eb6850be0\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --10e516183e6f1396b952bc5eb6850be0\r\n\
          Content-Disposition: form-data; name=\"characters[][id]\"\r\n\
          \r\n\
          char_0192e3b4c5d6700081920a1b2c3d4e5f\r\n\
          --10e516183e6f1396b952bc5eb6850be0\r\n\
          Content-Disposition: form-data; name=\"characters[][id]\"\r\n\
          \r\n\
          char_0192e3b4c5d6700081920a1b2c3d4e60\r\n\
          --10e516183e6f1396b952bc5eb6850be0\r\n\
          Content-Disposition: form-data; name=\"n\"\r\n\
          \r\n\
          1\r\n\
          --10e516183e6f1396b952bc5eb6850be0--\r\n",
    },
    Recorded {
        client: "python 3.54.0",
        meant: Meant::Remix,
        content_type: "application/json",
        body: b"{\"prompt\":\"At night\"}",
    },
    Recorded {
        client: "python 3.54.0",
        meant: Meant::EditFile,
        content_type: "multipart/form-data; boundary=674a5f2452b2fcf4868e919379295736",
        body: b"\
          --674a5f2452b2fcf4868e919379295736\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          At night\r\n\
          --674a5f2452b2fcf4868e919379295736\r\n\
          Content-Disposition: form-data; name=\"video\"; filename=\"c.mp4\"\r\n\
          Content-Type: video/mp4\r\n\
          \r\n\
          \x00\x00\x00\x18ftypmp42\r\n\
          --674a5f2452b2fcf4868e919379295736--\r\n",
    },
    Recorded {
        client: "python 3.54.0",
        meant: Meant::Character,
        content_type: "multipart/form-data; boundary=bd88e7d3e8756972a038ffa3e62edef1",
        body: b"\
          --bd88e7d3e8756972a038ffa3e62edef1\r\n\
          Content-Disposition: form-data; name=\"name\"\r\n\
          \r\n\
          Rex\r\n\
          --bd88e7d3e8756972a038ffa3e62edef1\r\n\
          Content-Disposition: form-data; name=\"video\"; filename=\"c.mp4\"\r\n\
          Content-Type: video/mp4\r\n\
          \r\n\
          \x00\x00\x00\x18ftypmp42\r\n\
          --bd88e7d3e8756972a038ffa3e62edef1--\r\n",
    },
    Recorded {
        client: "python 2.8.1",
        meant: Meant::Text,
        content_type: "application/json",
        body: b"{\"prompt\":\"A fox\",\"model\":\"sora-2\",\"seconds\":\"8\",\"size\":\"1280x720\"}",
    },
    Recorded {
        client: "python 2.8.1",
        meant: Meant::NamedFile,
        content_type: "multipart/form-data; boundary=fc7412af009cc894a7445e4e8d5d59c9",
        body: b"\
          --fc7412af009cc894a7445e4e8d5d59c9\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --fc7412af009cc894a7445e4e8d5d59c9\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          \r\n\
          sora-2\r\n\
          --fc7412af009cc894a7445e4e8d5d59c9\r\n\
          Content-Disposition: form-data; name=\"seconds\"\r\n\
          \r\n\
          8\r\n\
          --fc7412af009cc894a7445e4e8d5d59c9\r\n\
          Content-Disposition: form-data; name=\"size\"\r\n\
          \r\n\
          16x16\r\n\
          --fc7412af009cc894a7445e4e8d5d59c9\r\n\
          Content-Disposition: form-data; name=\"input_reference\"; filename=\"frame.png\"\r\n\
          Content-Type: image/png\r\n\
          \r\n\
          \x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x00\x00\x00\x00:\x98\xa0\xbd\r\n\
          --fc7412af009cc894a7445e4e8d5d59c9--\r\n",
    },
    Recorded {
        client: "python 2.8.1",
        meant: Meant::File,
        content_type: "multipart/form-data; boundary=4f558d79baab95b1e86fb0342d71107c",
        body: b"\
          --4f558d79baab95b1e86fb0342d71107c\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --4f558d79baab95b1e86fb0342d71107c\r\n\
          Content-Disposition: form-data; name=\"input_reference\"; filename=\"upload\"\r\n\
          Content-Type: application/octet-stream\r\n\
          \r\n\
          \x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x00\x00\x00\x00:\x98\xa0\xbd\r\n\
          --4f558d79baab95b1e86fb0342d71107c--\r\n",
    },
    Recorded {
        client: "python 2.8.1",
        meant: Meant::TwoCharacters,
        content_type: "application/json",
        body: b"\
          {\"prompt\":\"A fox\",\"characters\":[{\"id\":\"char_0192e3b4c5d6700081920a1b2c3d4e5f\"},{\"id\":\"char_0192e3b4c5d6700081920a1b2c3d4e60\"}],\"n\":1}",
    },
    Recorded {
        client: "python 2.8.1",
        meant: Meant::Remix,
        content_type: "application/json",
        body: b"{\"prompt\":\"At night\"}",
    },
    Recorded {
        client: "node 7.57.0",
        meant: Meant::Text,
        content_type: "multipart/form-data; boundary=----formdata-undici-096605567409",
        body: b"\
          ------formdata-undici-096605567409\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          ------formdata-undici-096605567409\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          \r\n\
          sora-2\r\n\
          ------formdata-undici-096605567409\r\n\
          Content-Disposition: form-data; name=\"seconds\"\r\n\
          \r\n\
          8\r\n\
          ------formdata-undici-096605567409\r\n\
          Content-Disposition: form-data; name=\"size\"\r\n\
          \r\n\
          1280x720\r\n\
          ------formdata-undici-096605567409--\r\n",
    },
    Recorded {
        client: "node 7.57.0",
        meant: Meant::Address,
        content_type: "multipart/form-data; boundary=----formdata-undici-087202992503",
        body: b"\
          ------formdata-undici-087202992503\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          ------formdata-undici-087202992503\r\n\
          Content-Disposition: form-data; name=\"input_reference[image_url]\"\r\n\
          \r\n\
          https://example.com/a.png\r\n\
          ------formdata-undici-087202992503\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          \r\n\
          sora-2\r\n\
          ------formdata-undici-087202992503--\r\n",
    },
    Recorded {
        client: "node 7.57.0",
        meant: Meant::FileAndModel,
        content_type: "multipart/form-data; boundary=openai-wt8eryts6qb",
        body: b"\
          --openai-wt8eryts6qb\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --openai-wt8eryts6qb\r\n\
          Content-Disposition: form-data; name=\"input_reference\"; filename=\"a.png\"\r\n\
          Content-Type: application/octet-stream\r\n\
          \r\n\
          \x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x00\x00\x00\x00:\x98\xa0\xbd\r\n\
          --openai-wt8eryts6qb\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          \r\n\
          sora-2\r\n\
          --openai-wt8eryts6qb--\r\n",
    },
    Recorded {
        client: "node 7.57.0",
        meant: Meant::OneCharacter,
        content_type: "multipart/form-data; boundary=----formdata-undici-067399413064",
        body: b"\
          ------formdata-undici-067399413064\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          ------formdata-undici-067399413064\r\n\
          Content-Disposition: form-data; name=\"n\"\r\n\
          \r\n\
          1\r\n\
          ------formdata-undici-067399413064\r\n\
          Content-Disposition: form-data; name=\"characters[][id]\"\r\n\
          \r\n\
          char_0192e3b4c5d6700081920a1b2c3d4e5f\r\n\
          ------formdata-undici-067399413064--\r\n",
    },
    Recorded {
        client: "node 7.57.0",
        meant: Meant::Remix,
        content_type: "application/json",
        body: b"{\"prompt\":\"At night\"}",
    },
    Recorded {
        client: "node 7.57.0",
        meant: Meant::EditId,
        content_type: "multipart/form-data; boundary=----formdata-undici-077079457569",
        body: b"\
          ------formdata-undici-077079457569\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          At night\r\n\
          ------formdata-undici-077079457569\r\n\
          Content-Disposition: form-data; name=\"video[id]\"\r\n\
          \r\n\
          video_0192e3b4c5d6700081920a1b2c3d4e5f\r\n\
          ------formdata-undici-077079457569--\r\n",
    },
    Recorded {
        client: "node 7.57.0",
        meant: Meant::ExtendId,
        content_type: "multipart/form-data; boundary=----formdata-undici-088952171222",
        body: b"\
          ------formdata-undici-088952171222\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          On\r\n\
          ------formdata-undici-088952171222\r\n\
          Content-Disposition: form-data; name=\"seconds\"\r\n\
          \r\n\
          8\r\n\
          ------formdata-undici-088952171222\r\n\
          Content-Disposition: form-data; name=\"video[id]\"\r\n\
          \r\n\
          video_0192e3b4c5d6700081920a1b2c3d4e5f\r\n\
          ------formdata-undici-088952171222--\r\n",
    },
    Recorded {
        client: "go v3",
        meant: Meant::Text,
        content_type: "multipart/form-data; boundary=1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a",
        body: b"\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          \r\n\
          sora-2\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"seconds\"\r\n\
          \r\n\
          8\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"size\"\r\n\
          \r\n\
          1280x720\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a--\r\n",
    },
    Recorded {
        client: "go v3",
        meant: Meant::File,
        content_type: "multipart/form-data; boundary=1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a",
        body: b"\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"input_reference\"; filename=\"anonymous_file\"\r\n\
          Content-Type: application/octet-stream\r\n\
          \r\n\
          \x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x10\x00\x00\x00\x10\x08\x00\x00\x00\x00:\x98\xa0\xbd\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a--\r\n",
    },
    Recorded {
        client: "go v3",
        meant: Meant::Address,
        content_type: "multipart/form-data; boundary=1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a",
        body: b"\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"input_reference[image_url]\"\r\n\
          \r\n\
          https://example.com/a.png\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          \r\n\
          sora-2\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a--\r\n",
    },
    Recorded {
        client: "go v3.11",
        meant: Meant::Address,
        content_type: "multipart/form-data; boundary=1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a",
        body: b"\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          A fox\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"input_reference.image_url\"\r\n\
          \r\n\
          https://example.com/a.png\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          \r\n\
          sora-2\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a--\r\n",
    },
    Recorded {
        client: "go v3",
        meant: Meant::ExtendId,
        content_type: "multipart/form-data; boundary=1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a",
        body: b"\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          \r\n\
          On\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"seconds\"\r\n\
          \r\n\
          8\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a\r\n\
          Content-Disposition: form-data; name=\"video[id]\"\r\n\
          \r\n\
          video_0192e3b4c5d6700081920a1b2c3d4e5f\r\n\
          --1f0e63cbf0a0b6a3f2d0a4f41c1a50d9a7f9ff6f1a2a9d0a8fd12c8f3c2a--\r\n",
    },
    Recorded {
        client: "java",
        meant: Meant::Text,
        content_type: "multipart/form-data; boundary=7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55",
        body: b"\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          Content-Type: text/plain; charset=utf-8\r\n\
          \r\n\
          A fox\r\n\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          Content-Type: text/plain; charset=utf-8\r\n\
          \r\n\
          sora-2\r\n\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55\r\n\
          Content-Disposition: form-data; name=\"seconds\"\r\n\
          Content-Type: text/plain; charset=utf-8\r\n\
          \r\n\
          8\r\n\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55\r\n\
          Content-Disposition: form-data; name=\"size\"\r\n\
          Content-Type: text/plain; charset=utf-8\r\n\
          \r\n\
          1280x720\r\n\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55--\r\n",
    },
    Recorded {
        client: "java",
        meant: Meant::Address,
        content_type: "multipart/form-data; boundary=7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55",
        body: b"\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          Content-Type: text/plain; charset=utf-8\r\n\
          \r\n\
          A fox\r\n\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55\r\n\
          Content-Disposition: form-data; name=\"input_reference[image_url]\"\r\n\
          Content-Type: text/plain; charset=utf-8\r\n\
          \r\n\
          https://example.com/a.png\r\n\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55\r\n\
          Content-Disposition: form-data; name=\"model\"\r\n\
          Content-Type: text/plain; charset=utf-8\r\n\
          \r\n\
          sora-2\r\n\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55--\r\n",
    },
    Recorded {
        client: "java",
        meant: Meant::EditId,
        content_type: "multipart/form-data; boundary=7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55",
        body: b"\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55\r\n\
          Content-Disposition: form-data; name=\"prompt\"\r\n\
          Content-Type: text/plain; charset=utf-8\r\n\
          \r\n\
          At night\r\n\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55\r\n\
          Content-Disposition: form-data; name=\"video[id]\"\r\n\
          Content-Type: text/plain; charset=utf-8\r\n\
          \r\n\
          video_0192e3b4c5d6700081920a1b2c3d4e5f\r\n\
          --7d9c3c5e-6a43-4a53-9a0c-0d8d2a0a1c55--\r\n",
    },
];
