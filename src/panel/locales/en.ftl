# The panel's texts in English. The Spanish file comes first; both hold the same keys.

## Frame of every page
skip = Skip to content
menu = Menu
nav = Parts of the panel
nav-today = Today
nav-disks = Disks and pool
nav-sources = Sources
nav-snapshots = Snapshots
nav-provider = External provider
nav-jobs = Jobs
nav-running = running
logged-in-as = User:
logout = Log out
foot = Colca { $version } · Backup box · Lima time (UTC−5)
trail = Location
back = Back
back-to-today = Back to Today
pages = Parts of the list
page-before = Previous
page-after = Next
page-first = From the beginning
page-part = { $from } to { $to } of { $n }
filter = Show
print = Print
never = Never
recommended = recommended

## Quantities
count-entries = { $n ->
    [one] { $n } entry
   *[other] { $n } entries
  }
count-warnings = { $n ->
    [one] { $n } warning
   *[other] { $n } warnings
  }
ago-now = a moment ago
ago-minutes = { $n ->
    [one] { $n } minute ago
   *[other] { $n } minutes ago
  }
ago-hours = { $n ->
    [one] { $n } hour ago
   *[other] { $n } hours ago
  }
ago-days = { $n ->
    [one] { $n } day ago
   *[other] { $n } days ago
  }
age-hours = { $n ->
    [one] { $n } hour
   *[other] { $n } hours
  }
age-days = { $n ->
    [one] { $n } day
   *[other] { $n } days
  }

## Columns
col-source = Source
col-origin = Origin
col-last-backup = Last backup
col-state = State
col-size = Size
col-disk = Disk
col-serial = Serial number
col-smart = Health (SMART)
col-contents = Contents
col-use = Use
col-actions = Actions
col-job = Job
col-when = Date and time
col-duration = Duration
col-name = Name
col-changed = Changed
col-mode = Permissions
col-path = Path
col-why = Reason

## Fields of forms
field-user = User
field-password = Password
field-empty = This is needed.
field-host = Server (name or IP address)
field-port = Port
field-port-wrong = The port is a number from 1 to 65535; for SFTP usually 22.
field-account = User on the server
field-account-hint = An account that may read is enough; to restore there it must also be allowed to write.
field-path = Folder
field-path-hint = The whole path from the root. For example: /srv/data
field-source-name = Name of the source
field-source-name-hint = Letters without accents, digits and hyphens. For example: files-hq
field-private-key = Private key
field-private-key-hint = OpenSSH format, without passphrase. Paste all of it, with the BEGIN and END lines.

## First boot
claim-title = Claim this backup box
claim-lead = The box has no owner yet. To claim it you need the code shown on its screen or console, which proves that you stand before it.
claim-connection = Before you type a password, check the connection
claim-connection-why = The box made its own certificate, so your browser warns that it does not know it. Check that it is yours:
claim-connection-1 = In the address bar, open the warning or the padlock and then the certificate.
claim-connection-2 = Find the SHA-256 fingerprint.
claim-connection-3 = Compare it with the one on the box's console, beside the code.
claim-connection-differs = If they differ, do not go on: somebody may be intercepting the connection.
claim-account = Code and first account
claim-code = Claim code
claim-code-hint = It is on the box's console. It works once.
claim-user-hint = The account that will run the box. For example: operator
claim-user-wrong = Use 1 to 64 letters without accents, digits or the signs . - _ @
claim-password-hint = At least { $n } characters. A phrase of several words is easy to remember and hard to guess.
claim-password-short = The password is too short: use at least { $n } characters.
claim-again = Repeat the password
claim-again-differs = The two passwords differ. Type them again.
claim-button = Claim the box
claim-wrong = The code is not right
claim-wrong-do = Copy it again from the box's console. Capital or small letters make no difference.

## Login
login-title = Log in to the panel
login-lead = Colca backup box
login-button = Log in
login-wrong = User or password is not right
login-wrong-do = Check capital letters and the keyboard's language, and try again.
login-slow = Too many tries
login-slow-do = { $n ->
    [one] Wait { $n } second and try again.
   *[other] Wait { $n } seconds and try again.
  }
login-ended = Your session has ended
login-ended-do = There was no activity for a long time, or the box was restarted. Log in again; running jobs were not stopped.

## Today
today-question = Is everything well?
today-as-of = As of { $time }
today-active = Running now
today-sources = Last backup of each source
today-all-sources = See all sources
today-recent = Latest jobs
today-all-jobs = See all jobs
verdict-good = Yes, everything is well
verdict-good-lead = Backups are up to date and the disks are healthy.
verdict-warn = Something needs attention
verdict-warn-lead = { $n ->
    [one] One matter needs your attention.
   *[other] { $n } matters need your attention.
  }
verdict-bad = No: some data are not protected
verdict-bad-lead = { $n ->
    [one] See to this matter as soon as you can.
   *[other] See to these { $n } matters as soon as you can, in this order.
  }
severity-info = To know
severity-warning = Attention
severity-critical = Urgent
steps-title = Three steps to the first backup
steps-lead = The box is claimed. This is left before it begins to protect data:
steps-done = Done
steps-pool = Create the pool
steps-pool-why = The disks are joined into one encrypted pool that survives the failure of one or more of them.
steps-pool-do = Choose the disks
steps-source = Add a source
steps-source-why = A source is a folder to back up: on a file server or on this box itself.
steps-source-do = Add a source
steps-backup = Make the first backup
steps-backup-why = The first reads everything. Later ones only keep what has changed.
steps-backup-do = Go to the sources

## Findings
find-pool-none = There is no pool yet
find-pool-none-do = Without a pool nothing can be backed up.
find-pool-degraded = Disks of the pool are missing: { $missing }
find-pool-degraded-do = The data can be read, but with less protection than promised. Check cables or replace the disk.
find-pool-failed = The pool cannot be opened
find-pool-failed-do = Nothing can be backed up or restored. Check that all disks are connected and use "Look for disks".
find-pool-full = The pool is almost full: { $free } of { $total } are left
find-pool-full-do = Once it is full, backups will fail. Provide larger disks before that happens.
find-sources-none = No source is registered
find-sources-none-do = Nothing is being backed up.
find-source-never = "{ $source }" was never backed up
find-source-never-do = Make its first backup.
find-source-old = The last backup of "{ $source }" is { $age } old
find-source-old-do = There should be one a day. Make one now and find out why there was none.
find-source-failed = The last backup of "{ $source }" failed
find-source-failed-do = Earlier snapshots are whole. Remove the cause and back up again.
find-source-warnings = { $n ->
    [one] The last backup of "{ $source }" could not save { $n } entry
   *[other] The last backup of "{ $source }" could not save { $n } entries
  }
find-source-warnings-do = Everything else was saved. The list says which and why.
find-provider-none = No external provider is configured
find-provider-none-do = If this box is lost, its snapshots are lost. Set up a replica elsewhere.
find-replication-never = Nothing was replicated to the external provider yet
find-replication-never-do = Make the first replica.
find-replication-old = The last replication to the external provider is { $age } old
find-replication-old-do = Replicate now and find out why it was not done.
find-replication-failed = The last replication to the external provider failed
find-replication-failed-do = The snapshots on this box are intact. Check connection and access, and replicate again.
find-verify-damage = { $n ->
    [one] The last verification found { $n } damaged part
   *[other] The last verification found { $n } damaged parts
  }
find-verify-damage-do = The report says whether they were repaired and which snapshots are touched.
find-verify-failed = The last verification could not finish
find-verify-failed-do = Remove the cause and verify again.
see-disks = See the disks
see-job = See the job
see-source = See the source
see-provider = See the provider
see-files = See the files
see-snapshots = See its snapshots
see-progress = See its progress

## Disks and pool
disks-lead = The box's disks and the pool they form together.
disks-title = Disks of the box
disks-none = No disk to use was found. Connect disks and load the page again.
disks-rescan = Look for disks
disk-rotational = spinning
disk-solid = solid state
smart-passed = Healthy
smart-failed = Failing
smart-unknown = No data
smart-hours = { $n } h powered on
contents-blank = Empty
contents-system = The box's system
contents-member = Part of a pool
contents-prepared = Prepared, no data
contents-other = Holds data
pool-title = Pool
pool-ok = Whole
pool-degraded = Disks missing
pool-failed = Not available
pool-redundancy = Protection
pool-id = Pool identifier
pool-use = Space in use
pool-used = { $used } in use of { $total }; { $free } free
may-fail = { $n ->
    [0] No disk may fail
    [one] { $n } disk may fail
   *[other] { $n } disks may fail at once
  }
rescan-done = Looked for the disks
rescan-result = State of the pool: { $state }.
verify-title = Verify what is stored
verify-lead = Checks that the snapshots are whole. Meanwhile you can browse, download and restore; backups wait for their turn.
verify-quick = Quick check
verify-quick-what = Checks that everything each snapshot needs is there. Takes minutes.
verify-all = Full reading
verify-all-what = Reads, repairs if needed and decrypts every byte. May take hours.
verify-button = Verify now
choose-title = Create the pool: choose the disks
choose-lead = Say what each disk is for. In the next step you choose how many may fail without losing data.
choose-use-of = Use of disk { $disk }
choose-spare = A spare holds nothing for now: it takes the place of the first disk that is missing.
choose-next = Continue: choose the protection
choose-nothing = You chose no disk for data
choose-many = Those are too many disks: a pool has at most { $n }
choose-again = Change your choice in the table and continue.
use-none = Do not use
use-data = Data
use-spare = Spare
use-impossible = Cannot be used

## Creating the pool
new-pool-title = Create the pool: protection
new-pool-lead = The protection cannot be changed later. The disks are erased, and all that is stored on them is encrypted.
new-pool-chosen = Chosen disks
new-pool-uneven = The disks differ in size: of each, as much is used as the smallest holds.
new-pool-redundancy = How many disks may fail?
new-pool-redundancy-lead = The more disks may fail, the less usable space.
redundancy-none = Usable space: { $size }. No protection: if one disk fails, all snapshots are lost ({ $written }).
redundancy-mirror = Usable space: { $size }. Each disk holds a whole copy ({ $written }).
redundancy-parity = Usable space: { $size }. The data are spread with spare parts over all disks ({ $written }).
confirm-title = Disks that hold data
confirm-warning = These disks are not empty: all that is on them will be erased
confirm-how = To confirm, type each one's serial number.
confirm-label = Serial number to erase disk { $disk }
confirm-differs = This is not the serial number. Type it as it is shown.
new-pool-button = Create the pool
new-pool-patience = Preparing the disks may take some minutes. Do not close this page: the recovery words come next.
pool-exists = The pool exists already
pool-created = The pool is ready
pool-created-next = The next step is to add a source.
words-title = Recovery words
words-once = Keep these words now: they will not be shown again
words-once-why = They are the only way to read the snapshots if this box is lost. Whoever has them can read everything stored.
words-list = The 24 words, in order
words-check = Page check
words-keep = Write or print them twice and keep them in sealed envelopes, in two safe and different places. Do not photograph them or keep them on a computer.
words-print = Recovery words of a Colca backup box. Keep in a sealed envelope, in a safe place.
words-kept = I have kept the 24 words in a safe place outside this box.
words-kept-button = I have kept them; continue
words-not-ticked = Tick the box once you have kept the words
words-gone = There are no recovery words to show
words-gone-why = They are shown only once: when the pool is created, when they are renewed or when the key is changed.
words-waiting = The recovery words are still to be kept
words-waiting-do = Nobody said to have kept the pool's new words. If the box restarts before, they are lost.
words-waiting-link = See the words

## Keys
keys-title = Keys
keys-see = Open with passphrase or words
keys-lead = What opens the pool: without it, nobody can read what is stored.
keys-home-plain = This box opens the pool with a key that lies on its own disk
keys-home-plain-what = Whoever takes the system disk together with the pool's disks can read everything. If the box has a security chip (TPM), the key can be kept there.
keys-home-tpm = This box opens the pool with its security chip (TPM)
keys-home-tpm-what = Nobody is needed when it starts. The disks alone, in another machine, cannot be read; the whole box can.
keys-home-both = The pool opens with the security chip (TPM) and a passphrase
keys-home-both-what = At every start somebody has to enter the passphrase on this page.
keys-home-nothing = This box keeps nothing that opens the pool
keys-home-nothing-what = At the next start somebody has to bring the recovery words or a passphrase.
keys-slots = What opens the pool
keys-opens = Opened by
keys-label = Name
keys-do = Action
keys-recovery = Recovery words
keys-passphrase = Passphrase
keys-tpm = Security chip (TPM)
keys-both = Security chip (TPM) and passphrase
keys-unknown = Something a newer version made
keys-stays = Always there
keys-remove = Remove
keys-add-passphrase = Add a passphrase
keys-add-passphrase-lead = It opens the pool like the recovery words, on another machine too. Whoever has a copy of the disks can try to guess it: let it be long.
keys-label-hint = Optional; can be read on the disks without any key.
keys-passphrase-hint = At least 12 characters; four or five words, for instance.
keys-again = The same passphrase again
keys-add-tpm = Keep the key in the security chip (TPM)
keys-add-tpm-lead = The key leaves the system disk and only this box's chip opens it. Keep the recovery words: if the chip or the board fails, they are the only way in.
keys-tpm-passphrase = Passphrase to be asked for at every start
keys-tpm-passphrase-hint = Optional. With it not even the whole box can be read without the passphrase, but it no longer starts by itself.
keys-renew = Renew the recovery words
keys-renew-lead = For when the page is lost or illegible. The key stays the same.
keys-renew-sure = I understand that the old words will open nothing any more.
keys-change = Change the key
keys-change-lead = For when somebody may know the key or the words. What is stored from now on is under another key; what was stored before stays under the old one. Passphrases go, and there are new words.
keys-change-sure = I understand that the old words and passphrases will open nothing any more.
keys-closed = The pool did not open by itself
keys-closed-do = Nothing is lost. If the disks are attached, open it with a passphrase or the recovery words.
keys-open-passphrase = Open with a passphrase
keys-open-words = Open with the recovery words
keys-words-hint = In their order, with spaces between; capitals and accents do not matter.
keys-open = Open the pool
keys-opened = The pool is open
keys-added = The passphrase opens the pool now
keys-tpm-added = The security chip opens the pool now, and the key has left the disk
keys-removed = Removed; it opens the pool no more
keys-not-sure = Tick the box to go on
keys-differ = The two passphrases differ; nothing was changed
keys-words-kept = Only the new words are valid now

## Sources
sources-lead = The folders this box backs up.
sources-none = There are no sources yet. Add the first to begin backing up.
source-add = Add a source
source-never = No backup
source-running = Running
source-failed = Failed
source-old = Overdue
source-warnings = With warnings
source-good = Up to date
source-facts = About the source
source-fingerprint = Fingerprint of the server's key
source-jobs = Latest jobs of this source
source-remove = Remove the source
kind-sftp = File server (SFTP)
kind-sftp-what = A folder on a Linux, Unix or NAS server that is entered by SSH. Nothing has to be installed on it.
kind-sftp-button = Add a server
kind-local = Folder of this box
kind-local-what = A folder this box can reach already, such as a mounted volume.
kind-local-button = Add a folder
choose-kind = Where do the data come from?
run-title = Back up
run-now = Back up now
run-incremental = Incremental
run-incremental-what = Reads only what has changed since the last snapshot. The new snapshot restores alone, without needing others.
run-full = Full
run-full-what = Reads all files again. Takes longer; only what is new takes space.
source-name-wrong = Use 1 to 64 letters without accents, digits or hyphens.
source-path-wrong = The path must be whole and begin with "/".
source-added = Source "{ $source }" was added
source-added-next = It could be entered and the folder is there. You can make its first backup now.
new-local-title = Add a folder of this box
new-local-lead = The box will check that the folder is there and can be read.
new-sftp-title = Add a file server
new-sftp-lead = Step 1 of 2: where the data are. Then you will see the server's key to compare it.
new-sftp-next = Continue: ask for the server's key
key-title = Step 2 of 2: is this the right server?
key-lead = Server { $host } showed a key with this fingerprint:
key-how = Compare it with the server's own. Its administrator gets it with this command (change the key type if needed):
key-trusted = I have compared the fingerprint and it is the same. Trust only this server.
key-not-trusted = Compare the fingerprint and tick the box. Without that no password should be sent.
secret-title = How to enter
secret-lead = Give the password or the private key, one of the two. It is stored encrypted and never shown again.
secret-wrong = Give the password or the private key: one of the two.
remove-title = Remove source "{ $source }"?
remove-keeps = Its snapshots are not deleted
remove-keeps-what = It will no longer be backed up, and how to enter it is forgotten. Snapshots already made can still be seen, downloaded and restored.
remove-confirm = To confirm, type the name of the source: { $source }
remove-differs = The name differs. Type it as it is shown.
removed = Source "{ $source }" was removed
removed-what = Its snapshots are still in the pool.

## Snapshots
snapshots-lead = Each snapshot shows the files of a source as they were at that moment.
snapshots-of = Source:
snapshots-all = All
snapshots-none = There are no snapshots yet.
find-title = Find files
find-lead = All snapshots are searched: what is no longer at the source appears too.
find-label = Find a file by its name
find-hint = A part of the name is enough; accents and capitals do not matter. With * or ? the whole name is compared: *.docx
find-everywhere = In all sources
find-do = Search
find-results = Results
find-none = No snapshot has a file or folder of that name.
find-more = These are the first { $n }; there are more. Type a longer part of the name.
find-unread = { $n ->
    [one] { $n } snapshot was not searched yet
   *[other] { $n } snapshots were not searched yet
  }
find-unread-do = What only they have does not appear yet. Search again in a few minutes.
find-in = { $n ->
    [one] In { $n } snapshot of { $source }
   *[other] In { $n } snapshots of { $source }
  }
find-last = The newest:
snapshot-whole = Whole
snapshot-facts = About the snapshot
snapshot-kind = Kind of backup
snapshot-id = Identifier
files-title = Files
files-none = This folder is empty.
type-folder = Folder
type-file = File
type-link = Symbolic link
type-fifo = Named pipe
type-socket = Socket
type-device = Device
download = Download
download-all = Download all (.tar)
download-folder = Download folder (.tar)
restore = Restore
restore-all = Restore all
restore-folder = Restore folder
restore-title = Restore to a source
restore-what = What is restored
restore-everything = Everything in the snapshot
restore-from = From snapshot
restore-where = Where to
restore-source = Source that receives the files
restore-target = Target folder
restore-target-hint = Left empty, a new folder beside the originals is used: { $folder }
restore-target-hint-unknown = The whole path at that source. Left empty, a new folder beside the originals is used.
restore-replaces = What has the same name in the target is replaced
restore-replaces-what = In a new folder nothing is replaced: that is safest. The folder is made if it is not there.
restore-sure = I have checked what is restored and into which folder.
restore-not-sure = Tick the box to confirm.
restore-button = Restore
restore-no-source = There is no source to receive the files
restore-no-source-do = First add the source you want to restore to. You can also download the files.

## Jobs
jobs-lead = What the box did and is doing, newest first.
jobs-none = There were no jobs yet.
job-backup = Backup of { $subject }
job-restore = Restore of { $subject }
job-replicate = Replication to the external provider
job-verify = Verification of the pool
job-number = Job { $n }
job-facts = Result
job-started = Began
job-ended = Ended
job-progress = Progress of the job
job-preparing = Preparing…
job-queued-why = Waits for another job to end.
job-cancel = Stop
job-cancelling = The job was asked to stop
job-cancelling-what = It will end within seconds. What was stored already is not lost.
live-pause = Pause updates
state-queued = Waiting
state-running = Running
state-done = Done
state-warnings = With warnings
state-failed = Failed
state-cancelled = Stopped
say-queued = The job waits for its turn.
say-running = Job running.
say-ended = The job has ended.
short-left = { $time } left
figure-speed = Speed
figure-left = Time left
figure-left-unknown = the whole is not known yet
figure-of = of { $total }
figure-files = Files
figure-objects = Objects
figure-bytes = Data processed
figure-new = New data
figure-stored = Added to the pool
figure-elapsed = Time so far
figure-warnings = Warnings
figure-restored-files = Files restored
figure-restored-bytes = Data written
figure-copied = Objects sent
figure-sent = Data sent
figure-present = Already there
figure-removed = Removed
figure-snapshots = Snapshots checked
figure-segments = Segments checked
figure-read = Data read
figure-damaged = Damaged parts
figure-repaired = Repaired parts
outcome-backup = Snapshot stored
outcome-restore = Files restored
outcome-replicate = Replica complete
outcome-verify = Report of the verification
verify-lost = Some data could not be read
warnings-title = What could not be processed
warnings-lead = Everything else went well. Check permissions and disks at the origin, and repeat the job.
log-title = Log
log-hidden = { $n ->
    [one] { $n } earlier line is left out.
   *[other] { $n } earlier lines are left out.
  }

## External provider
provider-lead = An encrypted replica of all snapshots, elsewhere, at an S3-compatible service.
provider-none = Not configured yet.
provider-state = State of the replica
provider-last-success = Last good replication
provider-last = Last try
provider-access = Access
provider-endpoint = Address of the service
provider-endpoint-hint = For example: https://s3.provider.pe
provider-endpoint-wrong = The address begins with https:// (or http:// in a test network).
provider-region = Region
provider-region-hint = As the provider says; many take us-east-1.
provider-bucket = Bucket
provider-bucket-hint = It is made if it is not there and the key may.
provider-prefix = Prefix within the bucket
provider-prefix-hint = Optional; useful if the bucket is shared.
provider-access-key = Access key
provider-secret = Secret key
provider-secret-hint = It is stored encrypted and never shown again.
provider-secret-stored = One is stored already. Type another only to change it.
provider-ca = Private certificate authority
provider-ca-hint = Optional; certificate in PEM format, if the provider does not use a public one.
provider-save = Check and save
provider-inspect = Verify the replica
provider-inspected = Last verification of the replica
provider-stored = Room taken at the provider
provider-lag = Not replicated yet
provider-lag-none = Nothing
provider-bad = Objects lost or damaged
provider-lock = Lock against deletion
provider-lock-hint = What is replicated cannot be deleted or changed before its time, not even with this box's key. The bucket must have been made with object lock.
provider-lock-none = No lock
provider-lock-governance = Governance, { $days } days at least
provider-lock-compliance = Compliance, { $days } days at least
provider-lock-governance-name = Governance: only who has a special permission can lift it
provider-lock-compliance-name = Compliance: nobody can lift it
provider-lock-days = Days of the lock
provider-lock-days-hint = As many as the longest snapshot must be kept.
provider-lock-days-wrong = Type a number of days, from 1 to 36500.
provider-bandwidth = Bandwidth by hour of the day
provider-bandwidth-hint = For example: 08:00-18:00 2 MiB/s, else unlimited (Lima time). Empty: no limit.
provider-bandwidth-wrong = The schedule is not understood. Write it like the example.
provider-probe = Probe the lock
provider-probed = Last probe of the lock
provider-probe-held = The provider refused to delete
provider-probe-open = The lock does not protect
provider-probe-bypass = This box's key can lift it
provider-probe-good = The lock protects
provider-probe-good-body = Deleting a locked object and shortening its time were tried, and the provider refused. The result is kept.
provider-probe-bad = The lock does not protect
provider-probe-bad-body = The provider deleted a locked object or shortened its time. Complain to the provider; the result is kept.
provider-saved = The provider could be entered, and the data were saved
provider-saved-next = You can replicate now.
replicate-now = Replicate now

## What went wrong
error-detail-label = Technical detail:
error-detail = Technical detail: { $message }
error-number = Response code: { $n }
error-corrupt = Some data are damaged
error-corrupt-do = What was read is not what was stored. Make a full reading in "Disks and pool" to repair it.
error-missing = What was asked for was not found
error-missing-do = It may have been removed or renamed. Go back to the list and choose again.
error-transient = A passing fault
error-transient-do = Check the network or the other machine and try again in some minutes.
error-full = No space is left
error-full-do = Nothing was lost. Free space or add disks and try again.
error-refused = It cannot be done as asked
error-refused-do = Check the data and permissions that the detail names, and try again.
error-busy = It is busy
error-busy-do = Another job is using it, or it exists already. Wait until it has ended or choose another.
error-cancelled = Stopped on a person's request
error-cancelled-do = What was stored already is not lost. You can start again whenever you like.
error-io = The box failed
error-io-do = Try again. If it happens again, note the detail and tell whoever runs the box.
error-400 = The request was not understood
error-400-do = Go back to the page before, load it again and repeat what you were doing.
error-404 = This page does not exist
error-404-do = Check the address or use the menu to find what you are looking for.
error-405 = This page is not reached this way
error-405-do = Use the panel's buttons instead of the address.
error-500 = Something failed in the box
error-500-do = Your snapshots were not touched. Try again; if it happens again, tell whoever runs the box.
error-csrf = The form has expired
error-csrf-do = It was opened in another session or long ago. Go back to the page before, load it again and repeat; nothing was changed.
error-missing-form = Check the name and the path, and try again.
fail-source = The source could not be added
fail-key = The server's key could not be asked for
fail-provider = The provider could not be entered
fail-restore = The restore could not be started
fail-pool = The pool could not be created
fail-backup = The backup could not be made
fail-restored = Not everything could be restored
fail-replicate = The replication was not completed
fail-verify = The verification did not end well

## How each disk is
disk-healthy = Healthy
disk-worn = Worn
disk-failing = Failing
disk-missing = Missing
disk-foreign = Foreign
disk-new = New
disk-retired = Retired
place-member = In use
place-spare = Spare
place-retiring = About to leave
place-retired = Out of the pool
place-other-pool = Of another pool
why-well = Nothing is known to be wrong.
why-well-unknown = It works, but says nothing of its health (it has no SMART).
why-asleep = It sleeps, and is not woken to be asked.
why-away = It belongs to the pool, but is not in the box.
why-emptied = The disk is there, but what the pool kept on it is not.
why-given-up = It stopped answering, and the system does not use it any more.
why-no-answer = It is connected, but the pool cannot use it.
why-read-only = It takes no writes.
why-pool-errors = The pool found damage in what this disk keeps.
why-retiring = Its data are being moved to the other disks.
why-retired = It keeps nothing of the pool any more.
why-other-pool = It is part of another pool.
why-other-data = It holds other data.
why-blank = It is empty and can be used.
why-prepared = It is prepared and can be used.
why-smart-failing = The disk itself warns that it is about to fail.
why-test-failed = Its self-test found a fault.
why-uncorrectable = { $n ->
    [one] { $n } sector cannot be read.
   *[other] { $n } sectors cannot be read.
  }
why-pending = { $n ->
    [one] { $n } sector could not be read and waits to be replaced.
   *[other] { $n } sectors could not be read and wait to be replaced.
  }
why-media-errors = { $n ->
    [one] It had { $n } error that it could not correct.
   *[other] It had { $n } errors that it could not correct.
  }
why-reallocated = { $n ->
    [one] It has replaced { $n } damaged sector.
   *[other] It has replaced { $n } damaged sectors.
  }
why-wear = It has used { $n }% of its rated life.
why-hot = It is at { $n } °C: too hot.
do-away = Check that it sits well; if it broke, replace it.
do-reseat = Take it out and put it back; if that does not help, replace it.
do-replace = Replace it as soon as possible.
do-replace-soon = It still serves; have a replacement ready.
do-hot = Check the fans, and that nothing blocks the air.
do-retiring = Do not pull it yet.
do-retired = You may pull it.
do-foreign = If you do not need what it holds you can use it: it will be erased.
do-other-pool = Take it out if it does not belong to this box.
do-not-use = Do not keep data on it.
do-new = You can add it to the pool.
col-slot = Bay
col-temperature = Temperature
col-replaced = Replaced
col-pending = To replace
col-errors = Errors
col-which = Which one?
identify = Identify
identify-begun = Disk { $disk } shows itself for a minute
identify-light = The light of its bay is on.
identify-activity = Its activity light blinks evenly.
disk-title = Disk { $disk }
disk-which = Which disk it is
disk-name = Name in the system
disk-kind = Kind
disk-place = Use
disk-seen = Last seen
disk-says = What the disk says
disk-history = History
alarm-since = Since
smart-on = Powered on
smart-reallocated = Sectors replaced
smart-pending = Sectors to replace
smart-uncorrectable = Unreadable sectors
smart-media = Uncorrected errors
smart-wear = Wear
test-last = Last self-test
test-running = Running: { $n }% left
test-passed = No fault
test-failed = Found a fault
test-aborted = Interrupted
test-was-long = long
test-was-short = short
test-at = at { $n } h of use
test-short = Short self-test
test-long = Long self-test
test-lead = The short one takes minutes and runs by itself every week; the long one reads the whole disk, takes hours and runs by itself every 90 days.
test-begun = The self-test has begun
test-begun-what = The result will be on this page when it has ended.
find-disk = Disk { $serial }
find-disk-slot = Disk { $serial } (bay { $slot })
see-disk = See the disk

## Disks that join and leave
job-settle = Put the pool's disks in order
job-scrub = Read the disks again
fail-settle = The disks were not put in order
fail-scrub = The disks were not read to the end
fail-replace = The disk could not be replaced
fail-add-disks = The disks could not be added
outcome-settle = What was put in order
outcome-scrub = What was read
figure-rebuilt = Parts rebuilt
figure-moved = Parts moved
figure-waiting = Waiting
settle-gone = Disk { $disk } holds nothing any more and has left the pool.
find-pool-healed = { $n ->
    [one] { $n } piece of damage was found and healed in the last month
   *[other] { $n } pieces of damage were found and healed in the last month
  }
find-pool-healed-do = Nothing was lost. If it happens again on the same disk, replace it.
find-pool-lost = { $n ->
    [one] { $n } part of the snapshots cannot be had from the disks any more
   *[other] { $n } parts of the snapshots cannot be had from the disks any more
  }
find-pool-lost-do = Connect the disks that are missing and verify what is stored: the verification says which snapshots are concerned.
find-pool-waits = Some data have less protection than promised
find-pool-waits-do = Disks or room are missing. Connect those that are missing or add one; it goes on by itself.
action-add-disks = Add disks
action-add = Add to the pool
action-replace = Replace
action-retire = Retire
action-remove = Remove from the pool
action-keep = Let it stay
action-progress = See the progress
risk-now = { $n ->
    [0] If another disk fails now, data are lost
    [one] { $n } more disk may fail now without losing data
   *[other] { $n } more disks may fail now without losing data
  }
risk-until-rebuilt = This is so until its data are rebuilt on another disk.
risk-until-moved = While its data are moved to another disk it still protects: do not pull it until you are told.
risk-time = It will take about { $time }.
replace-title = Replace disk { $disk }
replace-lead = A new disk takes its place. Backups and restores go on meanwhile.
replace-by = Which disk replaces it?
replace-button = Erase the new disk and replace
in-slot = bay { $slot }
new-disk-confirm = Serial number of the new disk
new-disk-confirm-hint = All it holds is erased. To confirm, type its serial number.
new-disk-choose = Choose a disk.
new-disk-none = There is no disk to use. Connect one: it will appear here by itself.
retire-title = Retire disk { $disk }
retire-lead = Its data are moved to the other disks; then you may pull it. The protection stays the same.
retire-button = Retire
leave-title = Remove disk { $disk } from the pool
remove-spare-lead = It is a spare and holds nothing.
remove-missing-lead = The pool stops waiting for it. This is possible only when the other disks have all that it held.
remove-done = The disk is of the pool no more
remove-button = Remove
keep-done = The disk stays in the pool
leaving-title = Disk { $disk } leaves
replacing-title = Disk { $old }: { $new } replaces it
leaving-lead = You may close this page: the work goes on by itself, also after a power cut.
leaving-steps = Steps
step-marked = The disk is marked to leave
step-ready = Disk { $disk } is ready
step-move = Move the data
step-move-soon = Begins in a moment.
step-pull = Pull the disk
pull-slot = You may pull disk { $disk } in bay { $slot }.
pull-now = You may pull disk { $disk }.
add-disks-title = Add disks
add-disks-lead = The pool grows, and the data are spread over all disks.
add-disks-button = Erase the chosen disks and add them
new-pool-patience-add = Preparing the disks may take some minutes.
choose-none-add = You chose no disk
add-disks-done = The disks were added
add-disks-done-what = The data are spread in the background.
care-title = Looking after the disks
care-lead = The box reads everything it stores again and again, the oldest first, and heals what it finds damaged.
care-since = Everything was verified or written after:
care-days = Read everything every (days)
care-scrub = Speed of reading (MiB/s)
care-settle = Speed of moving data (MiB/s)
care-zero = 0: no limit.
care-save = Save
care-now = Read everything now
care-saved = Saved
care-wrong = The values are not valid
care-wrong-do = Days are 1 to 365, and speeds are whole numbers up to 10,240.
damage-title = Damage found in the last month
damage-object = Part
damage-healed = Healed
damage-lost = Lost
damage-open = To be healed
