/**
 * The video events of Segment's Spec, with their documented properties and types: of the playback (what the player does),
 * of the content, and of ads. The Spec requires no property, and so nothing here does.
 *
 * https://www.twilio.com/docs/segment/connections/spec/video
 */
import * as Schema from "effect/Schema"
import * as TrackingPlan from "../TrackingPlan.ts"

const text = Schema.optionalKey(Schema.String)
const texts = Schema.optionalKey(Schema.Array(Schema.String))
const integer = Schema.optionalKey(Schema.Int)
const number = Schema.optionalKey(Schema.Finite)
const boolean = Schema.optionalKey(Schema.Boolean)

/** `null` where nothing of it is playing. */
const playing = Schema.optionalKey(Schema.NullOr(Schema.String))
/** Several where a playback is started. */
const several = Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.String, Schema.Array(Schema.String)])))
/** `null` for a livestream. */
const length = Schema.optionalKey(Schema.NullOr(Schema.Int))

const Roll = Schema.Literals(["pre-roll", "mid-roll", "post-roll"])

const player = {
  /** The same for all events of one playback. */
  session_id: text,
  ad_asset_id: several,
  ad_pod_id: several,
  ad_type: Schema.optionalKey(Schema.NullOr(Schema.Union([Roll, Schema.Array(Roll)]))),
  /** Where the playhead is, in seconds, ads included. */
  position: integer,
  /** In seconds, ads included. */
  total_length: length,
  /** In kbps. */
  bitrate: integer,
  framerate: number,
  /** `youtube`, `vimeo`. */
  video_player: text,
  /** From 0, muted, to 100. */
  sound: integer,
  full_screen: boolean,
  ad_enabled: boolean,
  /** `hd1080`, `480p`. */
  quality: text,
  livestream: boolean
}

const playback = { ...player, content_asset_id: playing, content_pod_id: playing }

const content = {
  session_id: text,
  asset_id: text,
  pod_id: text,
  title: text,
  description: text,
  keywords: texts,
  season: text,
  episode: text,
  genre: text,
  program: text,
  publisher: text,
  /** Where the playhead is, in seconds, without ads. */
  position: integer,
  /** In seconds, without ads. */
  total_length: length,
  channel: text,
  full_episode: boolean,
  livestream: boolean,
  /** ISO 8601. */
  airdate: text,
  bitrate: integer,
  framerate: number
}

const ad = {
  session_id: text,
  asset_id: text,
  pod_id: text,
  /** The place of the ad in its pod. */
  pod_position: integer,
  /** How many ads there are in the pod. */
  pod_length: integer,
  type: Schema.optionalKey(Roll),
  title: text,
  publisher: text,
  position: integer,
  total_length: integer,
  load_type: Schema.optionalKey(Schema.Literals(["linear", "dynamic"])),
  /** The content around the ad. */
  content: Schema.optionalKey(Schema.Struct(content))
}

/** An event, and what happened. */
const event = <const Fields extends Schema.Struct.Fields>(description: string, fields: Fields) =>
  Schema.Struct(fields).annotate({ description })

export const events = {
  "Video Playback Started": event("The user pressed play, and nothing is left to do.", {
    ...player,
    content_asset_ids: texts,
    content_pod_ids: texts,
    /** In one example of the Spec; its list of properties has `ad_asset_id`, and so on. */
    ad_asset_ids: texts,
    ad_pod_ids: texts,
    ad_types: Schema.optionalKey(Schema.Array(Roll))
  }),
  "Video Playback Paused": event("The user pressed pause.", playback),
  "Video Playback Interrupted": event("The playback stopped, and the user did not mean it to.", {
    ...playback,
    /** By what: `browser redirect`, `call`. */
    method: text
  }),
  "Video Playback Buffer Started": event("The player started to load.", playback),
  "Video Playback Buffer Completed": event("The player has loaded.", playback),
  "Video Playback Seek Started": event("The user left a position for another.", {
    ...playback,
    /** Where the user wants to go. */
    seek_position: integer
  }),
  "Video Playback Seek Completed": event("The user came to another position.", playback),
  "Video Playback Resumed": event("The user pressed play after a pause.", playback),
  "Video Playback Completed": event("The playback is over.", playback),
  "Video Playback Exited": event("The user went away.", playback),
  "Video Content Started": event("A part of the content began.", content),
  "Video Content Playing": event("The content is playing; sent every few seconds.", content),
  "Video Content Completed": event("A part of the content ended.", content),
  "Video Ad Started": event("An ad began.", ad),
  "Video Ad Playing": event("An ad is playing; sent every few seconds.", {
    ...ad,
    /** 1, 2 or 3. */
    quartile: integer
  }),
  "Video Ad Completed": event("An ad ended.", ad),
  "Video Quality Updated": event("The quality changed.", {
    bitrate: integer,
    framerate: number,
    startupTime: number,
    droppedFrames: number
  })
}

export const plan = TrackingPlan.make({ name: "Video", events })
